def render_fleet(rows, job):
    return b""
