module tandem/bench

go 1.26.0
