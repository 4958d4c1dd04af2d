"""A small cBioPortal on this machine: its REST service, with the faults that a test asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Portal:
    """A small portal: lists by path; ``script`` holds faults for the next requests: a status, "half", "text"."""

    def __init__(self) -> None:
        self.lists: dict[str, list[object]] = {}
        self.script: list[object] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.data: dict[tuple[str, str], list[dict[str, object]]] = {}
        self.total, self.paged, self.filters = True, True, True
        handler = type("Handler", (_PortalHandler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/api"

    def study(
        self, name: str, *, patient: Mapping[str, Mapping[str, str]] | None = None,
        sample: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:  # fmt: skip
        """Serve a study: attribute -> patient or sample -> value; a sample is called ``<patient>-<number>``."""
        kinds = {"PATIENT": patient or {}, "SAMPLE": sample or {}}
        self.lists[f"studies/{name}/clinical-attributes"] = [
            {"clinicalAttributeId": attribute, "patientAttribute": kind == "PATIENT"}
            for kind, attributes in kinds.items()
            for attribute in attributes
        ]
        for kind, attributes in kinds.items():
            rows: list[dict[str, object]] = []
            for attribute, values in attributes.items():
                for who, value in values.items():
                    owner = {"patientId": who.rpartition("-")[0], "sampleId": who}
                    whose = {"patientId": who} if kind == "PATIENT" else owner
                    rows.append({**whose, "studyId": name, "clinicalAttributeId": attribute, "value": value})
            self.data[name, kind] = rows

    def rows(self, path: str, asked: Mapping[str, str]) -> list[object] | None:
        """The list below a path, None when there is none."""
        study = path.removeprefix("studies/").removesuffix("/clinical-data")
        kind = (study, asked.get("clinicalDataType", ""))
        if not path.endswith("/clinical-data") or kind not in self.data:
            return self.lists.get(path)
        wanted = asked.get("attributeId") if self.filters else None
        return [row for row in self.data[kind] if wanted in (None, row["clinicalAttributeId"])]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _PortalHandler(BaseHTTPRequestHandler):
    owner: Portal

    def log_message(self, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        owner, parts = self.owner, urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        owner.asked.append((parts.path, asked))
        fault = owner.script.pop(0) if owner.script else None
        rows = owner.rows(parts.path.removeprefix("/api/"), asked)
        status = fault if isinstance(fault, int) else 200 if rows is not None else 404
        size, number = int(asked.get("pageSize", 10**6)), int(asked.get("pageNumber", 0)) if owner.paged else 0
        page = (rows or [])[number * size : (number + 1) * size]
        body = b"<html>" if fault == "text" else json.dumps(page).encode()
        self.send_response(status)
        if status in (429, 503):
            self.send_header("Retry-After", "0")
        if owner.total and rows is not None:
            self.send_header("total-count", str(len(rows) + (3 if fault == "fewer" else 0)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "half" else body)
        self.close_connection = True
