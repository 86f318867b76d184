package config

import (
	"fmt"
	"strings"
)

// Error says what is wrong with one setting.
type Error struct {
	// Key names the setting, as in the file.
	Key string
	// Value is what was given; "" where nothing was, or where it is a secret.
	Value string
	// Source says where it came from ("flag", "environment QUORD_ADDR", "file quord.yaml"); "" where several
	// settings together are wrong.
	Source string
	// Want says what is allowed.
	Want string
	// Unknown is set when there is no such setting.
	Unknown bool
}

// Error returns one line: setting, value, source, what is allowed.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Unknown {
		fmt.Fprintf(&b, "unknown setting %s", e.Key)
	} else {
		b.WriteString(e.Key)
		if e.Value != "" {
			fmt.Fprintf(&b, " %q", e.Value)
		}
	}
	if e.Source != "" {
		fmt.Fprintf(&b, " (%s)", e.Source)
	}
	fmt.Fprintf(&b, ": %s", e.Want)
	return b.String()
}
