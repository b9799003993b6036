// attempts takes the place of kustomize in tests: it tries what a build must not do, and writes for
// each attempt whether it was possible, as the data of a ConfigMap.
//
// The file attempts.json in its directory says what to try it on.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// targets is what the test has prepared: all of it is possible without a sandbox.
type targets struct {
	// A file outside of the directory that everybody can read.
	Secret string
	// A directory outside that everybody can write to.
	Outside string
	// host:port of a listener on loopback.
	Listener string
	// The path of a listening socket.
	Socket string
	// The name of an abstract socket, without the NUL before it.
	Abstract string
	// A process of the same user.
	Victim int
	// An open file of the process that has started this one, as a number.
	Descriptor int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "version" {
		fmt.Println("attempts")
		return
	}
	if _, err := os.Stat("spin"); err == nil {
		for {
		}
	}
	if _, err := os.Stat("sleep"); err == nil {
		time.Sleep(time.Hour)
	}
	if _, err := os.Stat("flood"); err == nil {
		for {
			fmt.Println(strings.Repeat("flood ", 1000))
		}
	}
	if _, err := os.Stat("grow"); err == nil {
		var kept [][]byte
		for {
			more := make([]byte, 1<<20)
			for at := 0; at < len(more); at += 4096 {
				more[at] = 1
			}
			kept = append(kept, more)
		}
	}
	text, err := os.ReadFile("attempts.json")
	if err != nil {
		fail(err)
	}
	var on targets
	if err := json.Unmarshal(text, &on); err != nil {
		fail(err)
	}
	fmt.Println("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: attempts}\ndata:")
	for _, attempt := range attempts(on) {
		result := "possible"
		if err := attempt.try(); err != nil {
			result = "denied: " + err.Error()
		}
		line, _ := json.Marshal(result)
		fmt.Printf("  %s: %s\n", attempt.name, line)
	}
	names := []string{}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Printf("  environment: %q\n", strings.Join(names, " "))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "Error:", err)
	os.Exit(1)
}

type attempt struct {
	name string
	try  func() error
}

func read(path string) func() error {
	return func() error {
		_, err := os.ReadFile(path)
		return err
	}
}

func connect(network, address string) func() error {
	return func() error {
		conn, err := net.DialTimeout(network, address, 2*time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

func call(number uintptr, arguments ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], arguments)
		_, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// run starts a process without any file, and waits for it.
func run(path string, arguments ...string) func() error {
	return func() error {
		process, err := syscall.ForkExec(path, append([]string{path}, arguments...), &syscall.ProcAttr{})
		if err == nil {
			syscall.Wait4(process, nil, 0, nil)
		}
		return err
	}
}

func write(path string) func() error {
	return func() error { return os.WriteFile(path, []byte("x"), 0o600) }
}

func attempts(on targets) []attempt {
	victim := uintptr(on.Victim)
	limits := [2]uint64{1 << 20, 1 << 20}
	return []attempt{
		{"read-own", read("attempts.json")},
		{"read-secret", read(on.Secret)},
		{"read-passwd", read("/etc/passwd")},
		{"read-environ-of-another", read(fmt.Sprintf("/proc/%d/environ", on.Victim))},
		{"read-own-environ", read("/proc/self/environ")},
		{"list-outside", func() error { _, err := os.ReadDir(on.Outside); return err }},
		{"list-root", func() error { _, err := os.ReadDir("/"); return err }},
		{"write-own", write("new")},
		{"write-outside", write(on.Outside + "/written")},
		{"write-shared-memory", write("/dev/shm/supercargo-attempt")},
		{"remove-own", func() error { return os.Remove("removable") }},
		{"link-outside", func() error { return os.Symlink("/etc/passwd", "link") }},
		{"make-fifo", func() error { return syscall.Mkfifo(on.Outside+"/fifo", 0o600) }},
		{"connect-loopback", connect("tcp", on.Listener)},
		{"connect-metadata-service", connect("udp", "169.254.169.254:80")},
		{"connect-socket", connect("unix", on.Socket)},
		{"connect-abstract-socket", connect("unix", "@"+on.Abstract)},
		{"listen", func() error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				listener.Close()
			}
			return err
		}},
		{"netlink", func() error {
			fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, 0)
			if err == nil {
				syscall.Close(fd)
			}
			return err
		}},
		{"run-shell", run("/bin/sh", "-c", "true")},
		{"run-itself", run("/proc/self/exe", "version")},
		{"become-shell", func() error {
			// Where it is possible, this does not return: it is tried only where it must not be.
			if _, err := os.ReadFile(on.Secret); err == nil {
				return nil
			}
			return syscall.Exec("/bin/sh", []string{"sh"}, nil)
		}},
		{"signal-another", func() error { return syscall.Kill(on.Victim, 0) }},
		{"trace-another", func() error {
			err := syscall.PtraceAttach(on.Victim)
			if err == nil {
				syscall.PtraceDetach(on.Victim)
			}
			return err
		}},
		{"read-memory-of-another", func() error {
			// Without a vector it reads nothing; it is checked whether it may.
			return call(310, victim, 0, 0, 0, 0, 0)()
		}},
		{"limit-another", call(302, victim, 7, 0, uintptr(unsafe.Pointer(&limits)))},
		{"executable-memory", func() error {
			memory, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC,
				syscall.MAP_ANON|syscall.MAP_PRIVATE)
			if err == nil {
				syscall.Munmap(memory)
			}
			return err
		}},
		{"anonymous-file", func() error {
			name := []byte("x\x00")
			return call(319, uintptr(unsafe.Pointer(&name[0])), 0)()
		}},
		{"namespace", call(272, syscall.CLONE_NEWUTS)},
		{"io-uring", func() error {
			var parameters [120]byte
			return call(425, 4, uintptr(unsafe.Pointer(&parameters[0])))()
		}},
		{"keyring", call(250, 0, ^uintptr(2), 1)},
		{"inherited-file", func() error {
			var stat syscall.Stat_t
			return syscall.Fstat(on.Descriptor, &stat)
		}},
	}
}
