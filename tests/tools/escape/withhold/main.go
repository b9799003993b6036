// withhold runs a program on a kernel that seems not to have Landlock: the system call that it begins
// with fails as if it were unknown.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

type instruction struct {
	code   uint16
	yes    uint8
	no     uint8
	number uint32
}

type program struct {
	length uint16
	first  *instruction
}

func main() {
	runtime.LockOSThread()
	const landlockCreateRuleset = 444
	filter := []instruction{
		{0x20, 0, 0, 0},                     // load the number of the call
		{0x15, 0, 1, landlockCreateRuleset}, // is it this one?
		{0x06, 0, 0, 0x00050000 | uint32(syscall.ENOSYS)},
		{0x06, 0, 0, 0x7fff0000}, // all others are allowed
	}
	loaded := program{uint16(len(filter)), &filter[0]}
	const setNoNewPrivs, setSeccomp, filterMode = 38, 22, 2
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		fail(errno)
	}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setSeccomp, filterMode, uintptr(unsafe.Pointer(&loaded)), 0, 0, 0); errno != 0 {
		fail(errno)
	}
	fail(syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "withhold:", err)
	os.Exit(1)
}
