package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
)

// A node with a small disk has a file system of its own in memory. It is mounted where nobody else sees it: the driver
// starts itself once more in a mount namespace, which root may make, and everybody else inside a user namespace where
// the kernel lets them. With the last process of the namespace the file systems are gone.

// smallDisk is the size of such a file system: what a node under the load of a round needs, several times.
const smallDisk = 512 << 20

// smallDisks is how many nodes of a ring have one; the others lie on the disk of the machine, whose syncs take time.
const smallDisks = 2

// mountsVar marks the environment of a driver that is in its own mount namespace.
const mountsVar = "CHAOS_MOUNTS"

// ownMounts starts the driver once more where it may mount, in the place of this process. It returns only when that
// cannot be done, or has been done already.
func ownMounts() error {
	if os.Getenv(mountsVar) != "" {
		return nil
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	args := []string{unshare, "--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		args = append(args, "--map-root-user")
	}
	probe := exec.Command(unshare, append(args[1:], "mount", "-t", "tmpfs", "-o", "size=1m", "none", os.TempDir())...)
	if out, err := probe.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(unshare, append(append(args, self), os.Args[1:]...), append(os.Environ(), mountsVar+"=1"))
}

// mayMount reports whether small disks can be mounted.
func mayMount() bool { return os.Getenv(mountsVar) != "" }

// shrink gives a node that has not been started a small disk.
func (r *round) shrink(n *cluster.Node) error {
	dir := n.Dir + ".disk"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallDisk)); err != nil {
		return fmt.Errorf("mount a small disk for %s: %w", n.Name, err)
	}
	n.Dir = filepath.Join(dir, "data")
	r.disks = append(r.disks, dir)
	r.small[n] = filepath.Join(dir, "filler")
	return nil
}

// unmount takes the small disks away; keep copies what is on them first.
func (r *round) unmount(keep bool) error {
	var errs []error
	for _, dir := range r.disks {
		if keep {
			errs = append(errs, os.CopyFS(dir+".kept", os.DirFS(dir)))
		}
		errs = append(errs, syscall.Unmount(dir, 0))
	}
	r.disks = nil
	return errors.Join(errs...)
}

// fill makes a file so large that only so many bytes remain free on the disk below it.
func fill(file string, free int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(file), &fs); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	more := int64(fs.Bavail)*fs.Bsize - free
	if more <= 0 {
		return nil
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, end, more); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

// fullDisk fills the disk of one node, almost or altogether, and frees it again. A node whose disk fills slowly goes
// on; one that finds no room at all from one moment to the next may end, and comes back when there is room.
func fullDisk(ctx context.Context, r *round, rng *rand.Rand) error {
	var small []*cluster.Node
	for _, n := range r.others(nil) {
		if r.small[n] != "" {
			small = append(small, n)
		}
	}
	if len(small) == 0 {
		return errNotNow
	}
	n := small[rng.IntN(len(small))]
	release, err := r.claimThis(n)
	if err != nil {
		return err
	}
	defer release()
	levels := []int64{smallDisk / 16 / 2, smallDisk / 64 / 2}
	abrupt := rng.IntN(3) == 0
	if abrupt {
		levels = []int64{0}
	}
	for _, free := range levels {
		r.say("           %s has %d KiB left on its disk", n.Name, free>>10)
		if err := fill(r.small[n], free); err != nil {
			return err
		}
		if err := workload.Rest(ctx, between(rng, 2*time.Second, 6*time.Second)); err != nil {
			return err
		}
	}
	if err := os.Remove(r.small[n]); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case n.Running():
		return nil
	case abrupt:
		r.say("           %s has ended for want of room and is started again", n.Name)
		return n.Start()
	}
	return fmt.Errorf("%s has ended although its disk filled slowly\n%s", n.Name, n.Tail(20))
}
