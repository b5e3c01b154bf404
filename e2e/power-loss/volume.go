package main

import (
	"math/rand/v2"
	"path"
	"sort"
	"sync"
	"syscall"
	"time"
)

// Dirs says what makes a change of a directory (a file made, renamed, removed) durable.
type Dirs string

const (
	// Ordered: directory changes reach the disk in the order they were made. A sync of a file saves the changes that
	// made or moved it, and with them all earlier ones of the whole volume; so does a sync of a directory. At a power
	// loss the disk holds a prefix of the rest. This is how the journals of ext4 and XFS and the log of Btrfs behave.
	Ordered Dirs = "ordered"
	// Strict: only a sync of the directory itself saves its changes, and at a power loss any of the others may be
	// there or not. This is the least that POSIX lets a program rely on (fsync(2): "Calling fsync() does not
	// necessarily ensure that the entry in the directory containing the file has also reached disk").
	Strict Dirs = "strict"
)

// inode is a file or a directory. A directory has two lists of entries: what programs see, and what the disk holds.
type inode struct {
	number   uint64
	mode     uint32 // type and permissions
	modified time.Time
	file     file
	live     map[string]*inode
	saved    map[string]*inode
}

func (n *inode) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// entryChange sets or, with no target, removes one name of a directory.
type entryChange struct {
	dir    *inode
	name   string
	target *inode
}

// operation is a directory operation that is not durable yet; a rename is one, so it happens whole or not at all.
type operation struct {
	at      uint64
	changes []entryChange
}

func (op operation) concerns(n *inode) bool {
	for _, c := range op.changes {
		if c.target == n || c.dir == n {
			return true
		}
	}
	return false
}

func (op operation) isIn(dir *inode) bool {
	for _, c := range op.changes {
		if c.dir == dir {
			return true
		}
	}
	return false
}

func (op operation) save() {
	for _, c := range op.changes {
		set(c.dir.saved, c.name, c.target)
	}
}

// volume is a file system in memory that knows what a power loss would leave of it.
type volume struct {
	mutex   sync.Mutex
	root    *inode
	dirs    Dirs
	random  *rand.Rand
	history uint64 // grows with every change
	numbers uint64
	// journal holds the directory operations that are not durable, oldest first.
	journal []operation
	off     bool
}

func newVolume(dirs Dirs, random *rand.Rand) *volume {
	v := &volume{dirs: dirs, random: random}
	v.root = v.newInode(syscall.S_IFDIR | 0o700)
	return v
}

func (v *volume) newInode(mode uint32) *inode {
	v.numbers++
	n := &inode{number: v.numbers, mode: mode, modified: time.Now()}
	if n.isDir() {
		n.live, n.saved = map[string]*inode{}, map[string]*inode{}
	}
	return n
}

// commit does a directory operation for programs to see, and remembers it until it is saved.
func (v *volume) commit(changes ...entryChange) {
	v.history++
	for _, c := range changes {
		set(c.dir.live, c.name, c.target)
		c.dir.modified = time.Now()
	}
	v.journal = append(v.journal, operation{at: v.history, changes: changes})
}

func (v *volume) write(n *inode, data []byte, offset int64) {
	v.history++
	n.file.write(v.history, data, offset)
	n.modified = time.Now()
}

func (v *volume) truncate(n *inode, size int64) {
	v.history++
	n.file.truncate(v.history, size)
	n.modified = time.Now()
}

// save does what fsync(2) on a file or directory promises, for all that had happened up to a point of the history.
func (v *volume) save(n *inode, until uint64) {
	n.file.save(until)
	switch v.dirs {
	case Ordered:
		last := -1
		for i, op := range v.journal {
			if op.at <= until && op.concerns(n) {
				last = i
			}
		}
		for _, op := range v.journal[:last+1] {
			op.save()
		}
		v.journal = append([]operation(nil), v.journal[last+1:]...)
	case Strict:
		var rest []operation
		for _, op := range v.journal {
			if op.at <= until && op.isIn(n) {
				op.save()
			} else {
				rest = append(rest, op)
			}
		}
		v.journal = rest
	}
}

// saveAll does what sync(2) promises.
func (v *volume) saveAll() {
	for _, op := range v.journal {
		op.save()
	}
	v.journal = nil
	var walk func(n *inode)
	walk = func(n *inode) {
		n.file.save(v.history)
		for _, child := range n.live {
			walk(child)
		}
	}
	walk(v.root)
}

// loss describes what was not durable when the power went: how the disk differed from what programs saw.
type loss struct {
	// Files that the disk knows and that had changes which were not saved, with the number of bytes written.
	Files []lostFile `json:"files"`
	// Names that the disk did not know yet ("+path"; what is below them is not listed) or still knew ("-path").
	Entries []string `json:"entries"`
}

type lostFile struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// lose takes the power away: the volume answers nothing from now on, and what the disk holds is a new volume.
func (v *volume) lose() (*volume, loss) {
	v.off = true
	lost := v.unsaved()
	if v.random.IntN(2) == 0 { // else nothing of it survives
		kept := v.random.IntN(len(v.journal) + 1)
		for i, op := range v.journal {
			if v.dirs == Ordered && i < kept || v.dirs == Strict && v.random.IntN(2) == 0 {
				op.save()
			}
		}
	}
	after := &volume{dirs: v.dirs, random: v.random}
	after.root = after.restore(v.root, map[*inode]bool{})
	return after, lost
}

// restore copies what the disk holds of a tree. A directory that operations lost in part left in two places is in one.
func (v *volume) restore(old *inode, seen map[*inode]bool) *inode {
	n := v.newInode(old.mode)
	n.modified = old.modified
	if !old.isDir() {
		n.file.saved = old.file.survivor(v.random)
		n.file.live = append([]byte(nil), n.file.saved...)
		return n
	}
	seen[old] = true
	for _, name := range names(old.saved) {
		child := old.saved[name]
		if child.isDir() && seen[child] {
			continue
		}
		restored := v.restore(child, seen)
		n.live[name], n.saved[name] = restored, restored
	}
	return n
}

func (v *volume) unsaved() loss {
	lost := loss{Files: []lostFile{}, Entries: []string{}}
	var walk func(n *inode, at string)
	walk = func(n *inode, at string) {
		var bytes int64
		for _, c := range n.file.unsaved {
			bytes += int64(len(c.data))
		}
		if len(n.file.unsaved) > 0 {
			lost.Files = append(lost.Files, lostFile{at, bytes})
		}
		for _, name := range names(n.live) {
			to := path.Join(at, name)
			if n.live[name] != n.saved[name] {
				lost.Entries = append(lost.Entries, "+"+to)
			} else {
				walk(n.live[name], to)
			}
		}
		for _, name := range names(n.saved) {
			if n.live[name] == nil {
				lost.Entries = append(lost.Entries, "-"+path.Join(at, name))
			}
		}
	}
	walk(v.root, "/")
	return lost
}

func set(entries map[string]*inode, name string, target *inode) {
	if target == nil {
		delete(entries, name)
	} else {
		entries[name] = target
	}
}

// names are sorted, so that a seed leads to the same choices each time.
func names(entries map[string]*inode) []string {
	all := make([]string, 0, len(entries))
	for name := range entries {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}
