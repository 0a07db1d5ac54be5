module fairlead.dev/conformance/local/pause

go 1.27.0
