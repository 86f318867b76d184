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
// # The exhaustive check, and what it leaves out
//
// Exhaustive takes every step from every state of tiny rings. A state is who lives and which successor lists they have:
// that is all that Zave's invariant reads. It is reduced in three ways, none of which loses a behaviour:
//
//   - Predecessors are no part of it, in favour of more: a member asked may name as its predecessor whoever stands
//     between the asker and itself, living or dead, which covers every predecessor that it can have had, and with it
//     every order in which the parts of a step, late answers and notifies can interleave with steps of others. A
//     predecessor decides nothing else that the invariant reads. Of the two parts of a stabilization the second may
//     stay out, as if its question got lost.
//   - A step changes the list of the member that takes it, and reads those of the members that answer it: at most
//     two, for it asks its first living successor and that one's predecessor, or the one that it joins behind. All else that the
//     production code does in it follows from these three lists, from who of the three lives, and from their order
//     around the circle. So each combination of these is carried out once on rings that hold only these members, and
//     the rest of the state is only looked at by the invariant. This is checked, not believed: a question to anybody
//     else, or another's list that changes, ends the check with an error (see performer).
//   - Only the order of identifiers matters to a step, so one choice of them stands for all, and who lives is chosen up
//     to rotation.
//
// Failures and departures are those of the operating assumption: they leave every member a living successor and r+1
// principals. Whoever departs hands its list to its predecessor, so for a departure the principals are counted with
// that list in place: whom it skips stays skipped.
//
// Nothing here is safe for concurrent use, but separate calls of Run share nothing.
package lab
