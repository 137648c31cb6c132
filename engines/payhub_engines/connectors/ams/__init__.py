"""Core banking: Apache Fineract's interoperation API and payhub's own AMS contract, behind one Protocol."""
