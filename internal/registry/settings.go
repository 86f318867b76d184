package registry

import (
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/slot"
)

// Bounds of Settings.ReplaceAfter.
const (
	MinReplaceAfter = 100 * time.Millisecond
	MaxReplaceAfter = 365 * 24 * time.Hour
)

// Settings hold for the whole cluster.
type Settings struct {
	// Replicas is N, on how many nodes each tablet lies: 1 to 7.
	Replicas int `json:"replicas"`
	// Tablets is T, a power of two from 1 to 16384. It never changes.
	Tablets int `json:"tablets"`
	// ReplaceAfter is for how long a silent node still counts as a holder of its tablets.
	ReplaceAfter time.Duration `json:"replace_after"`
	// Format is the format of entries and records that is written. Every member knows it; it never falls.
	Format uint32 `json:"format"`
}

// DefaultSettings are those of a new cluster whose user named none.
func DefaultSettings() Settings {
	return Settings{Replicas: 3, Tablets: 1024, ReplaceAfter: 5 * time.Minute, Format: 1}
}

// Validate says which value is impossible, and what is allowed.
func (s Settings) Validate() error {
	switch {
	case s.Replicas < 1 || s.Replicas > placement.MaxReplicas:
		return fmt.Errorf("replicas %d: want 1 to %d", s.Replicas, placement.MaxReplicas)
	case !slot.ValidTablets(s.Tablets):
		return fmt.Errorf("tablets %d: want a power of two from 1 to %d", s.Tablets, slot.Count)
	case s.ReplaceAfter < MinReplaceAfter || s.ReplaceAfter > MaxReplaceAfter:
		return fmt.Errorf("replace_after %v: want %v to %v", s.ReplaceAfter, MinReplaceAfter, MaxReplaceAfter)
	case s.Format < 1:
		return fmt.Errorf("format %d: want 1 or more", s.Format)
	}
	return nil
}
