package node

import (
	"time"

	"github.com/quorddb/quord/internal/core"
)

const (
	// The room is measured so often: seldom while there is several times what should stay free.
	roomEvery   = time.Second
	roomShortly = 200 * time.Millisecond
	// maxFloor and floorShare say how much of the disk should stay free: a part of it, and no more than it takes to
	// finish what the store has begun.
	maxFloor   = 1 << 30
	floorShare = 16
	// The room that is set aside as ballast.
	maxBallast   = 64 << 20
	ballastShare = 256
)

// floor returns how many bytes of a disk of this size should stay free.
func floor(total uint64) uint64 { return min(maxFloor, total/floorShare) }

// watchRoom tells the core how much room the disk has, and sets some aside while there is enough.
func (n *Node) watchRoom() {
	failed, kept := false, true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-n.ctx.Done():
			return
		}
		timer.Reset(roomShortly)
		free, total, err := n.store.Room()
		switch {
		case err != nil:
			if !failed && n.ctx.Err() == nil {
				n.log.Warn("the room on the disk cannot be measured", "error", err)
			}
			failed = true
		case total > 0:
			failed = false
			if free/4 > floor(total) {
				timer.Reset(roomEvery)
			}
			n.worker.on(n.ctx, func(c *core.Core) { c.Room(free) })
			ballast := min(maxBallast, total/ballastShare)
			if free > 2*floor(total)+ballast {
				err := n.store.KeepBallast(int64(ballast))
				if err != nil && kept && n.ctx.Err() == nil {
					n.log.Info("no room can be set aside on this file system", "error", err)
				}
				kept = err == nil
			}
		}
	}
}
