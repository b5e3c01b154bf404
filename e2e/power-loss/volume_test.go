package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

const regular = syscall.S_IFREG | 0o600

func seeded(dirs Dirs, seed uint64) *volume {
	return newVolume(dirs, rand.New(rand.NewPCG(seed, 0)))
}

func create(v *volume, dir *inode, name string, content string) *inode {
	n := v.newInode(regular)
	v.commit(entryChange{dir, name, n})
	v.write(n, []byte(content), 0)
	return n
}

func contents(v *volume) map[string]string {
	found := map[string]string{}
	for name, n := range v.root.live {
		found[name] = string(n.file.live)
	}
	return found
}

// afterLosses does the same to many volumes with different seeds, and gives what each power loss left.
func afterLosses(dirs Dirs, do func(v *volume)) []map[string]string {
	var all []map[string]string
	for seed := range uint64(300) {
		v := seeded(dirs, seed)
		do(v)
		after, _ := v.lose()
		all = append(all, contents(after))
	}
	return all
}

func TestWhatWasSavedSurvives(t *testing.T) {
	for _, dirs := range []Dirs{Ordered, Strict} {
		for _, left := range afterLosses(dirs, func(v *volume) {
			n := create(v, v.root, "a", "saved")
			v.save(n, v.history)
			v.save(v.root, v.history)
		}) {
			if left["a"] != "saved" {
				t.Fatalf("%s: %q", dirs, left)
			}
		}
	}
}

func TestWhatWasNotSavedMayBeLostAndMayBeThere(t *testing.T) {
	seen := map[string]int{}
	for _, left := range afterLosses(Ordered, func(v *volume) {
		v.save(create(v, v.root, "a", "old"), v.history)
		v.write(v.root.live["a"], []byte("new"), 0)
		create(v, v.root, "b", "b")
	}) {
		seen[fmt.Sprint(left)]++
	}
	for _, state := range []string{"map[a:old]", "map[a:new]", "map[a:old b:]", "map[a:new b:b]"} {
		if seen[state] == 0 {
			t.Errorf("%s never came out: %v", state, seen)
		}
	}
}

func TestASyncOfAFileSavesItsName(t *testing.T) {
	do := func(v *volume) {
		create(v, v.root, "earlier", "")
		v.save(create(v, v.root, "a", "x"), v.history)
	}
	for _, left := range afterLosses(Ordered, do) {
		if _, there := left["earlier"]; !there || left["a"] != "x" {
			t.Fatalf("ordered: %q", left)
		}
	}
	missing := 0
	for _, left := range afterLosses(Strict, do) {
		if _, there := left["a"]; !there {
			missing++
		}
	}
	if missing == 0 {
		t.Error("strict: only a sync of the directory saves a name")
	}
}

func TestARenameIsWholeOrNotAtAll(t *testing.T) {
	for _, dirs := range []Dirs{Ordered, Strict} {
		seen := map[string]int{}
		for _, left := range afterLosses(dirs, func(v *volume) {
			old := create(v, v.root, "a", "old")
			v.save(old, v.history)
			next := create(v, v.root, "a.tmp", "new")
			v.save(next, v.history)
			v.save(v.root, v.history)
			v.commit(entryChange{v.root, "a.tmp", nil}, entryChange{v.root, "a", next})
		}) {
			seen[fmt.Sprint(left)]++
		}
		if len(seen) != 2 || seen["map[a:new]"] == 0 || seen["map[a:old a.tmp:new]"] == 0 {
			t.Errorf("%s: %v", dirs, seen)
		}
	}
}

func TestDirectoryChangesSurviveInOrder(t *testing.T) {
	for _, left := range afterLosses(Ordered, func(v *volume) {
		for _, name := range []string{"1", "2", "3", "4"} {
			create(v, v.root, name, "")
		}
	}) {
		for i := range len(left) {
			if _, there := left[fmt.Sprint(i+1)]; !there {
				t.Fatalf("a later one is there without an earlier one: %q", left)
			}
		}
	}
}

func TestASyncSavesOnlyWhatWasThereWhenItBegan(t *testing.T) {
	lost := 0
	for _, left := range afterLosses(Ordered, func(v *volume) {
		n := create(v, v.root, "a", "before")
		began := v.history
		v.write(n, []byte("behind"), 0)
		v.save(n, began)
	}) {
		if left["a"] == "before" {
			lost++
		} else if left["a"] != "behind" {
			t.Fatalf("%q", left)
		}
	}
	if lost == 0 {
		t.Error("what was written during a sync must be able to get lost")
	}
}

func TestWritesAreTornAtSectors(t *testing.T) {
	torn := 0
	before, after := bytes.Repeat([]byte("o"), 4*sector), bytes.Repeat([]byte("n"), 4*sector)
	for _, left := range afterLosses(Ordered, func(v *volume) {
		n := create(v, v.root, "a", string(before))
		v.save(n, v.history)
		v.write(n, after, 0)
	}) {
		content := left["a"]
		if len(content) != 4*sector {
			t.Fatalf("%d bytes", len(content))
		}
		kinds := map[byte]bool{}
		for at := 0; at < len(content); at += sector {
			if content[at:at+sector] != string(before[:sector]) && content[at:at+sector] != string(after[:sector]) {
				t.Fatalf("sector at %d is torn in itself", at)
			}
			kinds[content[at]] = true
		}
		if len(kinds) == 2 {
			torn++
		}
	}
	if torn == 0 {
		t.Error("no write was torn")
	}
}

func TestTheSizeIsOneTheFileHasHad(t *testing.T) {
	sizes := map[int]bool{}
	for _, left := range afterLosses(Ordered, func(v *volume) {
		n := create(v, v.root, "a", "12345")
		v.save(n, v.history)
		v.write(n, []byte("6789"), 5)
		v.truncate(n, 2)
		v.write(n, []byte("xyz"), 2000)
	}) {
		sizes[len(left["a"])] = true
		if len(left["a"]) == 5 && left["a"] != "12345" && left["a"] != "12\x00\x00\x00" {
			t.Fatalf("%q", left["a"])
		}
	}
	for _, size := range []int{5, 9, 2, 2003} {
		if !sizes[size] {
			t.Errorf("size %d never came out: %v", size, sizes)
		}
	}
	if len(sizes) != 4 {
		t.Errorf("%v", sizes)
	}
}

func TestALossNamesWhatWasNotDurable(t *testing.T) {
	v := seeded(Ordered, 1)
	v.save(create(v, v.root, "kept", "saved"), v.history)
	v.save(create(v, v.root, "gone", ""), v.history)
	v.write(v.root.live["kept"], []byte("more"), 5)
	dir := v.newInode(syscall.S_IFDIR | 0o700)
	v.commit(entryChange{v.root, "dir", dir})
	create(v, dir, "below", "")
	v.commit(entryChange{v.root, "gone", nil})
	create(v, v.root, "brief", "")
	v.commit(entryChange{v.root, "brief", nil})
	_, lost := v.lose()
	if got := fmt.Sprint(lost); got != "{[{/kept 4}] [+/dir -/gone]}" {
		t.Error(got)
	}
}

func TestSaveAllSavesEverything(t *testing.T) {
	for _, left := range afterLosses(Strict, func(v *volume) {
		create(v, v.root, "a", "x")
		v.saveAll()
	}) {
		if left["a"] != "x" {
			t.Fatalf("%q", left)
		}
	}
}

func TestASeedLeadsToTheSameEveryTime(t *testing.T) {
	once := func() string {
		return fmt.Sprint(afterLosses(Strict, func(v *volume) {
			for i := range 20 {
				v.save(create(v, v.root, fmt.Sprint(i), fmt.Sprint(i)), uint64(i))
			}
		}))
	}
	if once() != once() {
		t.Error("two runs with the same seeds differ")
	}
}
