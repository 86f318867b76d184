// Package tabletime keeps the time of one tablet: what expires keys, and what the leader stamps on log entries.
//
// A tablet's time is the time in its last applied entry plus what has elapsed since on the leader's monotonic
// clock. Nobody's wall clock is believed alone. The replicas send samples of theirs, and the tablet's time is
// drawn towards the greatest value that a majority of all replicas has reached (with every sample at hand this is
// their lower median): it is slewed, at most a tenth faster or slower, and it steps only forward, and only when
// that value lies more than a second ahead.
//
// Invariants:
//   - Now never runs back, whatever wall clocks, samples and even the monotonic clock do.
//   - A minority of wrong clocks steps nothing; as long as a majority of samples is fresh and a majority of clocks
//     is right, time stays within the slew of what the right ones say.
//   - Without fresh samples of a majority, time runs on at the pace of the monotonic clock.
//
// A tablet of one replica follows its own clock, for that is a majority of one; when that clock is set back the
// tablet's time goes a tenth slower until the clock has caught up. The price of never running back: a majority of
// clocks that is set forward by mistake takes the tablet along.
//
// Times are milliseconds since the Unix epoch, from 0 to Max. The package is pure: the monotonic clock is a
// time.Duration given from outside, and a Clock belongs to one goroutine.
package tabletime
