def render_search(told):
    return b""
