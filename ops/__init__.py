"""What operations need beside the programs: migrations and the dev stack."""
