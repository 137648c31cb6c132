"""Core banking: Apache Fineract's interoperation API, defended against its traps."""
