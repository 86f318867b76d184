package main

import "syscall"

// childAttr puts a child into a process group of its own, so that Ctrl-C reaches the parent only, which then stops
// the children in order; and has the kernel kill it should the parent die without having done so.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
