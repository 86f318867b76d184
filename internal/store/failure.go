package store

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/kv"
)

// failure is why the store refuses writes.
type failure struct{ err error }

// Err returns why the store refuses writes, or nil. The error wraps kv.ErrFailed and the cause.
func (s *Store) Err() error {
	if f := s.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

func (s *Store) wedge() { s.wedgeOnce.Do(func() { close(s.wedged) }) }

func (s *Store) isWedged() bool {
	select {
	case <-s.wedged:
		return true
	default:
		return false
	}
}

// fail makes the store refuse writes from now on and returns the first cause.
func (s *Store) fail(action string, cause error) error {
	if p, ok := cause.(*panicked); ok {
		s.wedge()
		s.cfg.Logger.Error("pebble panicked", "action", action, "cause", p.Error(), "stack", p.stack)
	}
	if vfs.IsNoSpaceError(cause) {
		cause = fmt.Errorf("%w: %w", kv.ErrNoSpace, cause)
	}
	f := &failure{fmt.Errorf("store %s: %s: %w: %w", s.cfg.Dir, action, kv.ErrFailed, cause)}
	s.failure.CompareAndSwap(nil, f)
	s.failOnce.Do(func() {
		close(s.failed)
		err := s.Err()
		s.cfg.Logger.Error("the store failed and refuses writes", "dir", s.cfg.Dir, "cause", err)
		if s.cfg.OnFailure != nil {
			s.cfg.OnFailure(err)
		}
	})
	return s.Err()
}

// panicked is what Pebble threw instead of returning an error. Its locks may be held for good.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("pebble: %v", p.value) }

func (p *panicked) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// guard calls Pebble and turns a panic into an error: Pebble panics when its log cannot be written.
func guard(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{value: v, stack: string(debug.Stack())}
		}
	}()
	return call()
}

// pebbleLogger is what Pebble logs to.
type pebbleLogger struct{ store *Store }

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log(slog.LevelDebug, "pebble", format, args)
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log(slog.LevelError, "pebble reports an error", format, args)
}

func (l pebbleLogger) log(level slog.Level, msg, format string, args []any) {
	ctx := context.Background() // Pebble's work belongs to no request
	if log := l.store.cfg.Logger; log.Enabled(ctx, level) {
		log.Log(ctx, level, msg, "text", fmt.Sprintf(format, args...))
	}
}

// Fatalf must not return: Pebble cannot go on. In a call of ours it panics, for guard to catch. In a goroutine of
// Pebble's own it ends that goroutine, so that the node can still say why it stops, and how; what of ours waits for that
// goroutine waits for ever, as Open would if it did not hear of it.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.store.wedge()
	_ = l.store.fail("pebble gave up", err)
	if calledByStore() {
		panic(err)
	}
	select {
	case l.store.stuck <- err:
	default:
	}
	runtime.Goexit()
}

// calledByStore reports whether a call of this package, other than to the logger, is on the stack.
func calledByStore() bool {
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "/internal/store.guard") {
			return true
		}
		if !more {
			return false
		}
	}
}

// maxCorruptions is how often damaged tables may be met before the store takes its disk for broken.
const maxCorruptions = 1000

// listener takes what Pebble reports from its background work.
func (s *Store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			// What compacts a damaged table leaves it as it was. Whoever reads it learns of the damage.
			if pebble.IsCorruptionError(err) && s.counts.corruptions.Add(1) < maxCorruptions {
				s.cfg.Logger.Error("a damaged table cannot be compacted", "dir", s.cfg.Dir, "cause", err)
				return
			}
			_ = s.fail("background work", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.counts.corruptions.Add(1)
			s.cfg.Logger.Error("a table of the store is damaged", "dir", s.cfg.Dir, "path", info.Path,
				"cause", info.Details)
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			s.counts.slow.Add(1)
			s.cfg.Logger.Warn("the disk is slow", "dir", s.cfg.Dir, "path", info.Path,
				"duration", info.Duration)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			// Writes go on: they wait for checkpoints only when there is far too much for one, which pace tells.
			s.cfg.Logger.Debug("a checkpoint waits for tables to be flushed or compacted", "dir", s.cfg.Dir,
				"reason", info.Reason)
		},
	}
}
