// Package ring is Chord as a value, with the corrections that Zave proved necessary: it finds the token that owns
// an identifier and the tokens that follow it, and keeps the ring together while nodes join, leave and die.
//
// Sources: Stoica et al., Chord (SIGCOMM 2001; IEEE/ACM ToN 11(1), 2003); Zave, "Using lightweight modeling to
// understand Chord" (CCR 42(2), 2012) and "Reasoning about identifier spaces: how to make Chord correct" (IEEE
// TSE 43(12), 2017). Where the code goes another way, "Departs from the paper" says so and why.
//
// # What it owns, and what it refuses
//
// A Ring is one node's part of the ring: its tokens, each a Chord node of the papers with a predecessor, a
// successor list and fingers; the routing table that they share; its lookups in flight. It is driven by events
// (Step, Tick, Lookup, Join, Leave, hints about connections) and answers with effects (Take): messages to send,
// lookups that ended, events for the log. It has no goroutine, clock, socket or random source of its own: the
// same seed and events give the same effects. It keeps nothing on disk and stores no data.
//
// It does not decide the fate of a write: routing may be wrong for a while. It merges rings that a partition has
// split only as far as its caller names the nodes to look for (Acquaint), so rings of two clusters never do.
//
// # Concurrency
//
// A Ring is not safe for concurrent use; one goroutine drives it. Successor lists, routing tables and the slices
// in messages, results and snapshots are never changed once made, so they may be read anywhere. The slices of
// Effects themselves are reused: they are valid until the next Take.
//
// # Steps
//
//   - Join looks up the member p with p < token < p's successor, asks p, and copies p's successors.
//   - Stabilize asks the first successor. If it lives, its list, shifted by one, becomes the token's; if its
//     predecessor lies in between, that one is asked and adopted if it lives. If the successor is dead it is
//     dropped, and the next is asked. In the end the first successor is notified.
//   - Rectify, on Notify: a nearer notifier becomes the predecessor; otherwise the predecessor is pinged, and
//     replaced if it is dead.
//   - Nothing is adopted before it has answered. A token between a question and its result answers questions for
//     its state with Busy, and pings at once; whoever is told Busy gives its own step up and tries again after a
//     random pause, so no two tokens can wait for each other. A notify that comes meanwhile waits for the end of
//     the step.
//   - A token's word counts for one token only: Gone says that a node lives but its token is no member.
//
// A ring that a partition has split is merged by one more source of candidates for Stabilize: where other nodes would
// place a token (see merge.go). It is bounded in time and in messages:
//
//   - Each node asks each of n acquaintances within n times MergeEvery (at random times 3/4 to 5/4 of it), so two rings
//     are found out within that time, and with a large part on each side within a few MergeEvery.
//   - A node of T tokens then places all of them in the other ring within T/8 intervals of stabilization. Once those
//     of the nodes of one ring are placed, every token's successor is right when it has been heard of along the ring.
//   - For that a node sends at most 8 * (HopLimit+1) questions in an interval, and in one ring one lookup per MergeEvery.
//
// The tokens of one node speak to each other by the same messages, delivered inside before a call returns.
//
// # Invariant, and what it assumes
//
// Zave's invariant: every member has a live successor in its list, and at least r+1 members are principals, that
// is, no two neighbouring entries of any list skip them. It implies one ordered ring that every member reaches.
// It holds as long as messages arrive, the dead are told from the living by timeouts, and no failure leaves a
// member without a live successor or fewer than r+1 principals. A machine's death takes all its tokens at once,
// so here this means: every token keeps a live successor on another machine, and r+1 principals remain on the
// others. Lists therefore reach DistinctNodes other machines, and a ring starts with r+1 tokens. When an
// assumption breaks, as it does where a partition cuts the ring up, the tokens that notice tell it as an alarm (Event.Alarm): a token without a live successor
// turns to whomever else its node knows, a list out of order is not used, a list that stays on one machine is reported.
//
// # Who owns what
//
// A token owns an arc (floor, token] that its successor has ceded to it (see arc). So, given the assumptions
// above and time enough to notice deaths (Config.Settle), no two tokens own one place, also while newcomers and
// leavers pass arcs on; a place may be without an owner for a while, and a lookup then waits, until its deadline.
//
// # Formats
//
// One message, all integers big-endian:
//
//	offset  bytes  field
//	0       1      version, 1
//	1       1      kind (see Kind)
//	2       1      verdict in the upper 4 bits (see Verdict; 0 unless the kind is Route or Found); in the lower
//	               4 bits: 1 Claim, 2 Joining, 4 Ceded, 8 must be 0
//	3       1-10   Seq, unsigned varint
//	then, of the following, those that the kind carries, in this order:
//	        8      Epoch
//	        32     To
//	        32     From
//	        32     Target
//	        32     Floor
//	        16     Origin
//	        48     Pred: identifier (32), node (16); all zero: none
//	        2      Hops, Limit
//	        1+48n  List: n (at most 128), then n tokens: identifier (32), node (16), not zero
//
//	kind        carries
//	1 Query     Epoch To From
//	2 State     Epoch To From Floor Pred List
//	3 Busy      To From
//	4 Gone      To From
//	5 Ping      To From
//	6 Pong      To From
//	7 Notify    Epoch To From
//	8 Leave     Epoch To From Floor List
//	9 Find      To Target
//	10 Route    From Target Pred List
//	11 Forward  To Target Origin Hops/Limit
//	12 Found    From Target Hops/Limit List
//	13 Nudge    To From
//
// A message that is cut, goes on behind its end, or has another version, an unknown kind, verdict or flag, is
// refused with ErrMessage. The sender is the node that the connection proves; it is not in the message.
package ring
