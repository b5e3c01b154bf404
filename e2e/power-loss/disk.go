package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// fsType names our mounts in /proc/self/mounts ("fuse.millrace-power-loss"), so that a later run finds what an earlier
// one left behind.
const fsType = "millrace-power-loss"

// disk is a volume that is mounted, or has lost its power.
type disk struct {
	path     string
	syncTime time.Duration
	volume   *volume
}

func (d *disk) mount() error {
	none := time.Duration(0)
	_, err := fs.Mount(d.path, &node{volume: d.volume, inode: d.volume.root, disk: d}, &fs.Options{
		EntryTimeout: &none, AttrTimeout: &none, NegativeTimeout: &none,
		MountOptions: fuse.MountOptions{
			FsName:            fmt.Sprintf("%s-%d", fsType, os.Getpid()),
			Name:              fsType,
			DirectMountStrict: true, // mount(2) itself: fusermount is often not there
			DisableXAttrs:     true,
			MaxWrite:          1 << 20,
		},
		RootStableAttr: &fs.StableAttr{Ino: d.volume.root.number},
	})
	return err
}

// unmount detaches at once, whoever still has files open there.
func (d *disk) unmount() error {
	return syscall.Unmount(d.path, syscall.MNT_DETACH)
}

// cut kills a process and takes the power from the disk at the same moment: no call of the process is under way between
// the two, and none returns to it afterwards.
func (d *disk) cut(pid int) (loss, error) {
	d.volume.mutex.Lock()
	defer d.volume.mutex.Unlock()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return loss{}, fmt.Errorf("process %d could not be killed: %w", pid, err)
	}
	after, lost := d.volume.lose()
	d.volume = after
	return lost, nil
}

// detachAbandoned removes the mounts of runs that were killed. The process that served a mount stands in its name.
func detachAbandoned() error {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return err
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[2] != "fuse."+fsType {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(fields[0], fsType+"-%d", &pid); err != nil || isServing(pid) {
			continue
		}
		_ = syscall.Unmount(fields[1], syscall.MNT_DETACH)
	}
	return nil
}

// isServing: the process runs, and is one of ours (its number may belong to another by now). A killed one that nobody
// has waited for still has its name, but no program.
func isServing(pid int) bool {
	own, _ := os.ReadFile("/proc/self/comm")
	other, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || string(own) != string(other) {
		return false
	}
	_, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil
}
