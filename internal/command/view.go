package command

import "github.com/quorddb/quord/internal/record"

// View is the data of one tablet while one command is evaluated, at one moment of the tablet's time. The commands
// of one log entry see what those before them did.
//
// A View has no errors: an implementation that cannot read its store ends the evaluation on its own terms, because
// no command could answer anything true. For the same reason all that a View says must follow from the log alone,
// MaxValue included: two replicas with different limits would come apart.
type View interface {
	// Get returns the record of key that is live at Now; one that has expired is absent. Value is valid until
	// the evaluation of the entry ends and must not be modified.
	Get(key []byte) (record.Record, bool)
	// Put stores r under key in place of what was there. Evaluation never puts a record that has expired. The
	// View sets Version, which is zero here. key and r.Value stay unchanged until the evaluation of the entry
	// ends; a View that keeps them for longer copies them. r.Value may be what Get returned.
	Put(key []byte, r record.Record)
	// Delete removes what is stored under key, live or expired; nothing there is fine.
	Delete(key []byte)
	// Scan calls fn for the records whose (slot, hash) is at or after the given place, ascending by slot, hash
	// and key, until fn returns false. Records that have expired are shown too, so that the caller can bound its
	// work; fn decides with Record.Expired. key and r are valid only during the call, and fn must not change
	// the View.
	//
	// Only commands that read may call Scan. A write is evaluated among others whose changes may not be in the
	// store yet, and how many are evaluated together differs between replicas: what a range shows must never
	// decide what a write does.
	Scan(slot uint16, hash uint64, fn func(slot uint16, hash uint64, key []byte, r record.Record) bool)
	// Len returns how many keys are stored. Like DBSIZE of Redis it may count keys that have expired and have
	// not been removed yet.
	Len() int64
	// Clear removes all keys of the tablet.
	Clear()
	// Now returns the tablet's time in milliseconds since 1970.
	Now() int64
	// MaxValue returns the most bytes that a value may grow to.
	MaxValue() int
}

// put stores r, or removes the key where r has expired already, as Redis does.
func put(v View, key []byte, r record.Record) {
	if r.Expired(v.Now()) {
		v.Delete(key)
		return
	}
	v.Put(key, r)
}
