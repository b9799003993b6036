// A program that tries to leave the sandbox of builds, and says what it could do.
module supercargo.dev/tests/tools/escape

go 1.26.0
