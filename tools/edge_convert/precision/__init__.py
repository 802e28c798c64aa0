"""Numbers with fewer bits: INT8, float16 and bfloat16, as far as the model's verdicts survive them."""
