module stellar-operator/tests/node/ledgers

go 1.26.0

tool stellar-operator/tests/node/ledgers
