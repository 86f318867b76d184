package sim

// zoneFaults are what happens to zones; there are none in a world without.
var zoneFaults = []kind{
	{name: "outage", what: "a whole zone loses power, or is cut off, for longer than the grace at times (with --zones)", least: 100 * ms, most: 40 * sec, zoned: true, weight: 2, do: outage},
	{name: "rezone", what: "a process is killed, and started again in another zone, at other addresses (with --zones)", least: 0, most: 5 * sec, calm: true, zoned: true, weight: 2, do: func(r *run, f Fault) {
		m := r.victim(f)
		if m == nil || m.proc == nil {
			return
		}
		zone := zoneName(int(f.Pick >> 32 % uint64(r.w.cfg.Zones)))
		r.begin(f, "%s moves from zone %s to %s", m.Name(), m.zone, zone)
		m.Kill()
		m.zone = zone
		m.moves++
		m.addrs = addresses(m.moves, m.index)
		r.finally(f.For, func() { r.restart(m) })
	}},
}

func outage(r *run, f Fault) {
	zone := zoneName(int(f.Pick % uint64(r.w.cfg.Zones)))
	if f.Pick>>32%2 == 0 {
		r.begin(f, "zone %s is cut off", zone)
		r.finally(f.For, r.w.network.split(func(m *Machine) bool { return m.zone == zone }))
		return
	}
	r.begin(f, "power goes in zone %s", zone)
	for _, m := range r.w.machines {
		if m.zone == zone && m.proc != nil {
			m.Cut()
			r.finally(f.For+between(r.w.chance, 0, sec), func() { r.restart(m) })
		}
	}
}
