package node

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// pagesPath is where browsers find the files of Config.Web.
const pagesPath = "/web/"

// pages serves a directory's files to browsers, and no listings: a directory is
// its index.html.
func pages(files fs.FS) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean("/"+strings.TrimPrefix(r.URL.Path, pagesPath)), "/")
		if strings.HasSuffix(r.URL.Path, "/") {
			name = path.Join(name, "index.html")
		}
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			http.NotFound(rw, r)
			return
		}
		http.ServeFileFS(rw, r, files, name)
	})
}
