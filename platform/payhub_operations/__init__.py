"""The back office: keeps the engines' audit log in PostgreSQL and shows payments to operators."""
