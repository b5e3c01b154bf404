package main

import "math/rand/v2"

// sector is what a disk writes whole or not at all: 512 bytes, the unit that ATA and NVMe promise at the least.
const sector = 512

// change is one write or truncation of a file that no sync has saved yet.
type change struct {
	at       uint64 // position in the volume's history
	offset   int64
	data     []byte // nil: the file is cut or grown to offset
	size     int64  // of the file afterwards
	truncate bool
}

// file is the content of a regular file, as programs see it and as the disk holds it.
type file struct {
	live    []byte
	saved   []byte
	unsaved []change
}

func (f *file) write(at uint64, data []byte, offset int64) {
	f.live = overlay(f.live, data, offset)
	own := append([]byte(nil), data...)
	f.unsaved = append(f.unsaved, change{at: at, offset: offset, data: own, size: int64(len(f.live))})
}

func (f *file) truncate(at uint64, size int64) {
	f.live = resize(f.live, size)
	f.unsaved = append(f.unsaved, change{at: at, offset: size, size: size, truncate: true})
}

// save makes every change up to a point of the history durable.
func (f *file) save(until uint64) {
	count := 0
	for _, c := range f.unsaved {
		if c.at > until {
			break
		}
		f.saved = c.apply(f.saved)
		count++
	}
	f.unsaved = append([]change(nil), f.unsaved[count:]...)
}

func (c change) apply(content []byte) []byte {
	if c.truncate {
		return resize(content, c.offset)
	}
	return overlay(content, c.data, c.offset)
}

// survivor is what the disk holds after the power was lost. The kernel may have written back any page at any time
// since the last sync, and was stopped in the middle of it: each sector holds one of the contents it has had since then,
// and the file has one of the sizes it has had.
func (f *file) survivor(random *rand.Rand) []byte {
	if len(f.unsaved) == 0 || random.IntN(2) == 0 {
		return append([]byte(nil), f.saved...)
	}
	size := int64(len(f.saved))
	if kept := random.IntN(len(f.unsaved) + 1); kept > 0 {
		size = f.unsaved[kept-1].size
	}
	content := resize(append([]byte(nil), f.saved...), size)
	versions := map[int64]int{} // sector → how many of the changes had happened when it was written back
	for i, c := range f.unsaved {
		first, end := c.touches(size)
		for at := first; at < end; at += sector {
			number := at / sector
			kept, known := versions[number]
			if !known {
				kept = random.IntN(len(f.unsaved) + 1)
				versions[number] = kept
			}
			if i < kept {
				c.applyWithin(content, at, min(at+sector, size))
			}
		}
	}
	return content
}

// touches is the range of sectors that the change can have altered in a file of that size.
func (c change) touches(size int64) (first, end int64) {
	end = size
	if !c.truncate {
		end = min(size, c.offset+int64(len(c.data)))
	}
	return c.offset / sector * sector, end
}

func (c change) applyWithin(content []byte, start, end int64) {
	if c.truncate {
		if from := max(start, c.offset); from < end {
			clear(content[from:end])
		}
		return
	}
	from, to := max(start, c.offset), min(end, c.offset+int64(len(c.data)))
	if from < to {
		copy(content[from:to], c.data[from-c.offset:to-c.offset])
	}
}

func overlay(content, data []byte, offset int64) []byte {
	if end := offset + int64(len(data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	copy(content[offset:], data)
	return content
}

func resize(content []byte, size int64) []byte {
	length := int64(len(content))
	if size <= length {
		return content[:size]
	}
	return append(content, make([]byte, size-length)...)
}
