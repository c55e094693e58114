package proof

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	exportFolderMode = 0o755
	exportFileMode   = 0o644
)

// Export writes a log into a new folder, as the files of c2sp.org/tlog-tiles,
// so that anybody can check it with VerifyLedger over Folder, or serve it from
// any web server. It copies as it finds and checks nothing: a changed log
// keeps its traces. It returns what the copied head claims.
//
// dir must not exist, or be an empty folder. It appears whole or not at all:
// the files are written beside it, under dir + ".new", made durable and then
// renamed. progress, if not nil, is called now and then with the entries
// written.
func Export(ctx context.Context, src Source, dir string, progress func(done, total int64)) (Checkpoint, error) {
	dir = filepath.Clean(dir)
	if err := checkEmpty(dir); err != nil {
		return Checkpoint{}, fmt.Errorf("export: %w", err)
	}
	signed, err := src.ReadFile(ctx, CheckpointPath)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("export: checkpoint: %w", err)
	}
	c, err := ReadCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("export: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), exportFolderMode); err != nil {
		return Checkpoint{}, fmt.Errorf("export: %w", err)
	}
	e := &exporter{ctx: ctx, src: src, dir: dir + ".new", folders: map[string]bool{}}
	// A folder of this name is what an export left that was cut off.
	err = os.RemoveAll(e.dir)
	if err == nil {
		err = e.all(c, signed, progress)
	}
	if err == nil {
		err = e.publish(dir)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("export: %w", errors.Join(err, os.RemoveAll(e.dir)))
	}
	return c, nil
}

func checkEmpty(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("folder %s is not empty: name a new one", dir)
	}
	return err
}

type exporter struct {
	ctx     context.Context
	src     Source
	dir     string
	folders map[string]bool // made so far
}

// all writes every file of the log at the checkpoint; the head comes last.
func (e *exporter) all(c Checkpoint, signed []byte, progress func(done, total int64)) error {
	for level := EntriesLevel; level < TileLevels; level++ {
		for n := int64(0); ; n++ {
			t := tlog.Tile{H: TileHeight, L: level, N: n, W: tileWidth(level, n, c.Size)}
			if t.W == 0 {
				break
			}
			if err := e.tile(t); err != nil {
				return err
			}
			if level == EntriesLevel && progress != nil && (n%64 == 63 || n*TileWidth+int64(t.W) == c.Size) {
				progress(n*TileWidth+int64(t.W), c.Size)
			}
		}
	}
	return e.write(CheckpointPath, signed)
}

func (e *exporter) tile(t tlog.Tile) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	data, wide, err := readTile(e.ctx, e.src, t)
	if err != nil {
		return fmt.Errorf("%s: %w", TilePath(t), err)
	}
	if wide {
		// The source keeps only the full tile that the partial one became.
		if data, err = narrow(t, data); err != nil {
			return fmt.Errorf("%s: %w", TilePath(t), err)
		}
	}
	return e.write(TilePath(t), data)
}

// narrow cuts a full tile to the width of a partial one.
func narrow(t tlog.Tile, data []byte) ([]byte, error) {
	if t.L != EntriesLevel {
		if len(data) != TileWidth*tlog.HashSize {
			return nil, fmt.Errorf("%d bytes, want %d", len(data), TileWidth*tlog.HashSize)
		}
		return data[:t.W*tlog.HashSize], nil
	}
	list, err := ParseBundle(data, TileWidth)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, entry := range list[:t.W] {
		size += 2 + len(entry)
	}
	return data[:size], nil
}

func (e *exporter) write(path string, data []byte) error {
	name := filepath.Join(e.dir, filepath.FromSlash(path))
	folder := filepath.Dir(name)
	if !e.folders[folder] {
		if err := os.MkdirAll(folder, exportFolderMode); err != nil {
			return err
		}
		e.note(folder)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, exportFileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// note remembers a folder and those above it, up to the export's own.
func (e *exporter) note(folder string) {
	for ; !e.folders[folder] && len(folder) >= len(e.dir); folder = filepath.Dir(folder) {
		e.folders[folder] = true
	}
}

// publish makes all names durable and gives the folder its own.
func (e *exporter) publish(dir string) error {
	for folder := range e.folders {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	// An empty folder may stand there; on some systems a rename refuses that.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(e.dir, dir); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
