// A function without a body (goyield) needs a file of assembly beside it.
