package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node shows an inode of a volume to the kernel. Every call holds the volume's lock, so that a power loss falls between
// two calls, and fails with EIO once the power is gone. The kernel caches nothing (no timeouts, direct I/O).
type node struct {
	fs.Inode
	volume *volume
	inode  *inode
	disk   *disk
}

// One sync in so many takes so many times as long: a disk that collects garbage, or a neighbour's burst. It widens the
// moments in which a program may act on what is not on the disk yet.
const (
	slowEvery  = 20
	slowFactor = 50
)

// handle is an open file.
type handle struct {
	// sync: opened with O_SYNC or O_DSYNC, so that each write is durable when it returns.
	sync bool
}

var _ interface {
	fs.NodeLookuper
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeReaddirer
	fs.NodeCreater
	fs.NodeMkdirer
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeRenamer
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
	fs.NodeStatfser
} = (*node)(nil)

// powered takes the lock, unless the power is gone.
func (n *node) powered() syscall.Errno {
	n.volume.mutex.Lock()
	if !n.volume.off {
		return 0
	}
	n.volume.mutex.Unlock()
	return syscall.EIO
}

func (n *node) child(ctx context.Context, of *inode, out *fuse.EntryOut) *fs.Inode {
	describe(of, &out.Attr)
	child := &node{volume: n.volume, inode: of, disk: n.disk}
	return n.NewInode(ctx, child, fs.StableAttr{Mode: of.mode & syscall.S_IFMT, Ino: of.number})
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return nil, errno
	}
	defer n.volume.mutex.Unlock()
	found := n.inode.live[name]
	if found == nil {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, found, out), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.powered(); errno != 0 {
		return errno
	}
	defer n.volume.mutex.Unlock()
	describe(n.inode, &out.Attr)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := n.powered(); errno != 0 {
		return errno
	}
	defer n.volume.mutex.Unlock()
	if size, ok := in.GetSize(); ok && int64(size) != int64(len(n.inode.file.live)) {
		n.volume.truncate(n.inode, int64(size))
	}
	// Permissions and times are kept, but not lost: nothing here depends on them.
	if mode, ok := in.GetMode(); ok {
		n.inode.mode = n.inode.mode&syscall.S_IFMT | mode&0o7777
	}
	if modified, ok := in.GetMTime(); ok {
		n.inode.modified = modified
	}
	describe(n.inode, &out.Attr)
	return 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return nil, errno
	}
	defer n.volume.mutex.Unlock()
	entries := []fuse.DirEntry{}
	for _, name := range names(n.inode.live) {
		child := n.inode.live[name]
		entries = append(entries, fuse.DirEntry{Name: name, Mode: child.mode & syscall.S_IFMT, Ino: child.number})
	}
	return fs.NewListDirStream(entries), 0
}

func (n *node) Create(ctx context.Context, name string, flags uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return nil, nil, 0, errno
	}
	defer n.volume.mutex.Unlock()
	made := n.volume.newInode(syscall.S_IFREG | mode&0o7777)
	n.volume.commit(entryChange{n.inode, name, made})
	return n.child(ctx, made, out), open(flags), fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return nil, errno
	}
	defer n.volume.mutex.Unlock()
	if n.inode.live[name] != nil {
		return nil, syscall.EEXIST
	}
	made := n.volume.newInode(syscall.S_IFDIR | mode&0o7777)
	n.volume.commit(entryChange{n.inode, name, made})
	return n.child(ctx, made, out), 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.remove(name)
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.remove(name)
}

func (n *node) remove(name string) syscall.Errno {
	if errno := n.powered(); errno != 0 {
		return errno
	}
	defer n.volume.mutex.Unlock()
	target := n.inode.live[name]
	if target == nil {
		return syscall.ENOENT
	}
	if len(target.live) > 0 {
		return syscall.ENOTEMPTY
	}
	n.volume.commit(entryChange{n.inode, name, nil})
	return 0
}

func (n *node) Rename(_ context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL // neither exchange nor noreplace
	}
	if errno := n.powered(); errno != 0 {
		return errno
	}
	defer n.volume.mutex.Unlock()
	to := newParent.(*node).inode
	moved, replaced := n.inode.live[name], to.live[newName]
	if moved == nil {
		return syscall.ENOENT
	}
	if replaced != nil && len(replaced.live) > 0 {
		return syscall.ENOTEMPTY
	}
	n.volume.commit(entryChange{n.inode, name, nil}, entryChange{to, newName, moved})
	return 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return nil, 0, errno
	}
	defer n.volume.mutex.Unlock()
	return open(flags), fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return nil, errno
	}
	defer n.volume.mutex.Unlock()
	live := n.inode.file.live
	offset = min(offset, int64(len(live)))
	return fuse.ReadResultData(dest[:copy(dest, live[offset:])]), 0
}

func (n *node) Write(_ context.Context, f fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	if errno := n.powered(); errno != 0 {
		return 0, errno
	}
	n.volume.write(n.inode, data, offset)
	at := n.volume.history
	n.volume.mutex.Unlock()
	if isSync(f) {
		return uint32(len(data)), n.sync(at)
	}
	return uint32(len(data)), 0
}

// Fsync is fsync(2) and fdatasync(2) of files, which differ only in what nobody here looks at, and of directories.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if errno := n.powered(); errno != 0 {
		return errno
	}
	at := n.volume.history
	n.volume.mutex.Unlock()
	return n.sync(at)
}

// sync takes as long as a disk does, and now and then much longer. The power may go meanwhile, and what was to be saved
// with it.
func (n *node) sync(until uint64) syscall.Errno {
	takes := n.disk.syncTime
	if rand.IntN(slowEvery) == 0 {
		takes *= slowFactor
	}
	time.Sleep(takes)
	if errno := n.powered(); errno != 0 {
		return errno
	}
	defer n.volume.mutex.Unlock()
	n.volume.save(n.inode, until)
	return 0
}

// Statfs reports a large, empty disk.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, Blocks: 1 << 28, Bfree: 1 << 28, Bavail: 1 << 28, NameLen: 255}
	return 0
}

func open(flags uint32) *handle {
	// O_SYNC includes O_DSYNC's bit on Linux.
	return &handle{sync: flags&syscall.O_DSYNC != 0}
}

func isSync(f fs.FileHandle) bool {
	h, ok := f.(*handle)
	return ok && h.sync
}

func describe(n *inode, out *fuse.Attr) {
	out.Ino = n.number
	out.Mode = n.mode
	out.Size = uint64(len(n.file.live))
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = 4096
	out.Nlink = 1
	out.SetTimes(&n.modified, &n.modified, &n.modified)
}
