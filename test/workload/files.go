package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Files stores files under their paths and compares what is read back with the disk. It remembers which were
// acknowledged; only those are asked for.
type Files struct {
	root   string
	prefix string
	names  []string

	mu    sync.Mutex
	acked map[string]struct{} // guarded by mu
	bytes int64               // guarded by mu; of what was acknowledged
}

// NewFiles lists the files below root whose names end in suffix, leaving out the directories named in skip. The key
// of a file is prefix and its path relative to root.
func NewFiles(root, prefix, suffix string, skip ...string) (*Files, error) {
	f := &Files{root: root, prefix: prefix, acked: map[string]struct{}{}}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			for _, s := range skip {
				if name == s {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if entry.Type().IsRegular() && strings.HasSuffix(name, suffix) {
			f.names = append(f.names, name)
		}
		return nil
	})
	if err == nil && len(f.names) == 0 {
		err = fmt.Errorf("no files *%s below %s", suffix, root)
	}
	return f, err
}

// Len returns how many files there are.
func (f *Files) Len() int { return len(f.names) }

// Keys returns the keys of all files.
func (f *Files) Keys() []string {
	keys := make([]string, len(f.names))
	for i, name := range f.names {
		keys[i] = f.prefix + name
	}
	return keys
}

// Acked returns how many files were acknowledged, and their bytes.
func (f *Files) Acked() (files int, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.acked), f.bytes
}

// Load stores every file through the node at addr over several connections. What was not acknowledged is sent
// again (storing the same bytes twice does no harm) until ctx ends. acknowledged, when not nil, is told after each
// acknowledgement how many there are; it is called by one connection at a time.
func (f *Files) Load(ctx context.Context, addr string, connections int, acknowledged func(n int)) error {
	client := NewClient(addr, connections)
	defer client.Close()
	var told sync.Mutex
	return each(ctx, connections, f.names, func(ctx context.Context, name string) error {
		data, err := os.ReadFile(filepath.Join(f.root, name))
		if err != nil {
			return err
		}
		if err := retry(ctx, func() error { return client.Set(ctx, f.prefix+name, data, 0).Err() }); err != nil {
			return fmt.Errorf("SET %s (%d bytes) through %s: %w", f.prefix+name, len(data), addr, err)
		}
		told.Lock()
		defer told.Unlock()
		n := f.acknowledge(name, len(data))
		if acknowledged != nil {
			acknowledged(n)
		}
		return nil
	})
}

func (f *Files) acknowledge(name string, size int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, again := f.acked[name]; !again {
		f.acked[name] = struct{}{}
		f.bytes += int64(size)
	}
	return len(f.acked)
}

// Verify reads every acknowledged file through the node at addr and compares it with the disk.
func (f *Files) Verify(ctx context.Context, addr string, connections int) error {
	client := NewClient(addr, connections)
	defer client.Close()
	f.mu.Lock()
	names := make([]string, 0, len(f.acked))
	for _, name := range f.names {
		if _, ok := f.acked[name]; ok {
			names = append(names, name)
		}
	}
	f.mu.Unlock()
	return each(ctx, connections, names, func(ctx context.Context, name string) error {
		want, err := os.ReadFile(filepath.Join(f.root, name))
		if err != nil {
			return err
		}
		var got []byte
		err = retry(ctx, func() error {
			var err error
			got, err = client.Get(ctx, f.prefix+name).Bytes()
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("GET %s at %s: %w", f.prefix+name, addr, err)
		case !bytes.Equal(got, want):
			return fmt.Errorf("%s at %s: %d bytes differ from the %d that were acknowledged", f.prefix+name, addr,
				len(got), len(want))
		}
		return nil
	})
}

// each calls do with every one from several goroutines; the first failures end it.
func each[T any](ctx context.Context, workers int, all []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan T)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error // guarded by mu
	for range workers {
		wg.Go(func() {
			for one := range work {
				if err := do(ctx, one); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for _, one := range all {
		select {
		case work <- one:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	if len(errs) == 0 && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}
