// Command power-loss mounts a file system in memory that forgets, on command, whatever was not synced. What it models,
// and what not, stands in README.md.
//
// It reads commands from standard input, a line each, and answers each with a line of JSON on standard output:
//
//	cut <pid>   SIGKILL to the process and loss of power at the same moment; answers what was not durable
//	save        makes everything durable, as the kernel does with what is old enough (sync(2))
//	restore     mounts what the disk still holds; the process must have ended
//
// The end of standard input, SIGINT and SIGTERM unmount it: it does not outlive whoever started it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "power-loss:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	path := flag.String("mount", "", "directory to mount on")
	seed := flag.Uint64("seed", 1, "decides what of the unsynced changes survives")
	dirs := flag.String("dirs", string(Ordered), "ordered or strict: what makes a change of a directory durable")
	syncTime := flag.Duration("sync-time", 500*time.Microsecond, "how long a sync takes, most of the time")
	flag.Parse()
	if *path == "" || (Dirs(*dirs) != Ordered && Dirs(*dirs) != Strict) {
		flag.Usage()
		return fmt.Errorf("-mount and a known -dirs are needed")
	}
	if err := detachAbandoned(); err != nil {
		return err
	}
	volume := newVolume(Dirs(*dirs), rand.New(rand.NewPCG(*seed, 0)))
	d := &disk{path: *path, syncTime: *syncTime, volume: volume}
	if err := d.mount(); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	defer func() {
		if failed := d.unmount(); err == nil {
			err = failed
		}
	}()
	answer(map[string]any{"mounted": *path})

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	commands := make(chan string)
	go func() {
		defer close(commands)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			commands <- lines.Text()
		}
	}()
	for {
		select {
		case <-signals:
			return nil
		case command, open := <-commands:
			if !open {
				return nil
			}
			answer(d.obey(strings.Fields(command)))
		}
	}
}

func (d *disk) obey(command []string) any {
	result, err := d.try(command)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return result
}

func (d *disk) try(command []string) (any, error) {
	switch {
	case len(command) == 2 && command[0] == "cut":
		pid, err := strconv.Atoi(command[1])
		if err != nil || pid <= 1 {
			return nil, fmt.Errorf("%q is no process id", command[1])
		}
		return d.cut(pid)
	case len(command) == 1 && command[0] == "save":
		d.volume.mutex.Lock()
		defer d.volume.mutex.Unlock()
		d.volume.saveAll()
		return map[string]string{"saved": d.path}, nil
	case len(command) == 1 && command[0] == "restore":
		if err := d.unmount(); err != nil {
			return nil, err
		}
		return map[string]string{"mounted": d.path}, d.mount()
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

func answer(what any) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err) // only our own maps and structs are answered
	}
	os.Stdout.Write(append(line, '\n'))
}
