// Command mutants breaks the product on purpose, one line at a time, and asks the seeded world how soon it notices:
// instruments that find nothing in a broken product prove nothing about a sound one.
//
// Each mutation is a file in testdata: its name, a sentence on what it breaks, the arguments of `quordsim world` that
// look where it hurts, the recorded seed, and then, for each place in the code, what stands there and what takes its
// place. Nothing of this is in the product: the go command builds each broken quordsim from an overlay (go build
// -overlay). A text that is no longer to be found, or found twice, is an error, so that a mutation never stops being one
// unnoticed.
//
//	make mutants                       every mutation over up to 300 fresh seeds; exit 1 where one is not caught
//	make mutants ARGS='-run lease'     only those whose file is named like that
//	make mutants ARGS='-record'        writes the seed that was found into the file
//
// The test of this package replays the recorded seed of each, or one of the few after it, and checks that the sound product passes it.
package main
