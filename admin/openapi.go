package admin

import (
	_ "embed"
	"net/http"
)

// openAPI describes the pages of the admin address, but for those of the Chime
// API.
//
//go:embed openapi.json
var openAPI []byte

func (p *managed) showOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(openAPI) // the client is gone: nobody to tell
	return nil
}
