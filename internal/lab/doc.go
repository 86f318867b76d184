// Package lab is the ring's laboratory: it runs the production code of package ring, and of package placement, at
// the sizes of the papers and beyond, and measures what the papers measured.
//
// One file holds one experiment. Each is a struct of what may be chosen, with Validate, which says what makes no
// sense; Run, which measures one independent ring; and a function that sums several up. Run is a function of the
// struct, the seed and the number of the ring alone: so rings may be measured side by side, in any order, and the
// sum is the same. What was published stands in published.go, to be drawn and printed beside it.
//
// # What it owns, and what it refuses
//
// It owns the world around the rings: who exists, who is dead, how long a message takes, what a global observer
// knows. It routes nothing itself: each hop of each lookup is a call of Ring.Step on the ring asked, with the message
// that production would have sent. A converged ring may be constructed (Ring.Restore) instead of waited for; the
// invariant says when that is the same. It draws no figures and prints nothing; it reads no clock: time is a number.
//
// # Presets
//
// Paper is Chord as the papers ran it: one Chord node for each token, each with a routing table of its own; fingers
// to the first successor of their place; nudges, the shared table and proximity off. Quord is what production does.
//
// # What is counted
//
// The papers count differently from figure to figure, and each experiment says which way it counts. SIGCOMM's
// figure 10 counts the nodes that a lookup traverses, the owner not among them, in a ring without successor lists;
// ToN's tables II and III count the owner and use lists of r. Percentiles are nearest-rank over all rings together.
//
// Nothing here is safe for concurrent use, but separate calls of Run share nothing.
package lab
