"""A core bank shaped like Apache Fineract's interoperation API, its quirks included."""
