package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchedFS tells the store of every write and sync that fails, before Pebble learns of it. Pebble notices a failed
// log only at its next use, and then panics, in places with its locks in a state that ends the process. A store that
// knows refuses the next Write instead, and has said why, whatever Pebble does.
//
// What finds no room on the disk is tried once more when the ballast was given up. A sync is not: what a failed one
// leaves on the disk is unknown.
type watchedFS struct {
	vfs.FS
	store *Store
}

func (fs watchedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := again(fs.store, func() (vfs.File, error) { return fs.FS.Create(name, category) })
	return fs.watch(f, "create", name, err)
}

func (fs watchedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := again(fs.store, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, category, opts...) })
	return fs.watch(f, "open", name, err)
}

func (fs watchedFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := again(fs.store, func() (vfs.File, error) { return fs.FS.ReuseForWrite(old, name, category) })
	return fs.watch(f, "reuse", name, err)
}

func (fs watchedFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.watch(f, "open", name, err)
}

func (fs watchedFS) Rename(old, name string) error {
	_, err := again(fs.store, func() (struct{}, error) { return struct{}{}, fs.FS.Rename(old, name) })
	fs.report("rename", name, err)
	return err
}

// Unwrap is for vfs.Root.
func (fs watchedFS) Unwrap() vfs.FS { return fs.FS }

func (fs watchedFS) watch(f vfs.File, action, name string, err error) (vfs.File, error) {
	if err != nil {
		fs.report(action, name, err)
		return nil, err
	}
	return watchedFile{File: f, fs: fs, name: name}, nil
}

func (fs watchedFS) report(action, name string, err error) {
	if err != nil && fs.store.opened.Load() {
		_ = fs.store.fail(fmt.Sprintf("%s %s", action, name), err)
	}
}

// again calls fn, and once more where it found no room and some has been made.
func again[T any](s *Store, fn func() (T, error)) (T, error) {
	before := s.ballast.lost.Load()
	v, err := fn()
	if err != nil && vfs.IsNoSpaceError(err) && s.makeRoom(before) {
		return fn()
	}
	return v, err
}

type watchedFile struct {
	vfs.File
	fs   watchedFS
	name string
}

func (f watchedFile) Write(p []byte) (int, error) {
	n := 0
	_, err := again(f.fs.store, func() (int, error) {
		m, err := f.File.Write(p[n:])
		n += m
		return n, err
	})
	f.fs.report("write", f.name, err)
	return n, err
}

func (f watchedFile) WriteAt(p []byte, offset int64) (int, error) {
	n, err := again(f.fs.store, func() (int, error) { return f.File.WriteAt(p, offset) })
	f.fs.report("write", f.name, err)
	return n, err
}

func (f watchedFile) Sync() error {
	err := f.File.Sync()
	f.fs.report("sync", f.name, err)
	return err
}

func (f watchedFile) SyncData() error {
	err := f.File.SyncData()
	f.fs.report("sync", f.name, err)
	return err
}

func (f watchedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	f.fs.report("sync", f.name, err)
	return full, err
}

func (f watchedFile) Close() error {
	err := f.File.Close()
	f.fs.report("close", f.name, err)
	return err
}
