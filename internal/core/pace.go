package core

import "time"

// paceOver is over how long a pace is measured.
const paceOver = 2 * time.Second

// pace measures how many bytes a second go somewhere. The zero value has seen none.
type pace struct {
	since    time.Duration // when the measure that is under way began
	bytes    int64         // since then
	measured int64         // bytes a second, by the measure before
}

func (p *pace) add(now time.Duration, n int) {
	p.turn(now)
	p.bytes += int64(n)
}

// turn ends the measure that is under way when it has lasted.
func (p *pace) turn(now time.Duration) {
	took := now - p.since
	if took < paceOver {
		return
	}
	p.measured = 0
	if took < 2*paceOver { // or nobody has added anything, or asked, for long
		p.measured = perSecond(p.bytes, took)
	}
	p.since, p.bytes = now, 0
}

// at returns the pace in bytes a second.
func (p *pace) at(now time.Duration) int64 {
	p.turn(now)
	if p.measured == 0 { // it has just begun
		return perSecond(p.bytes, max(now-p.since, paceOver/4))
	}
	return p.measured
}

func perSecond(bytes int64, took time.Duration) int64 { return int64(float64(bytes) / took.Seconds()) }
