"""The engine process: the flow's end of it (`client`), its main loop (`server`), their words."""
