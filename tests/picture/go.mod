module stellar-operator/tests/picture

go 1.26.0

require github.com/bep/goat v0.5.0
