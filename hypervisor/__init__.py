"""The seam around libvirt: the only package that imports it.

Plain Python, no Django. Typed dataclasses go out, exceptions of `hypervisor.errors` go out, nothing else does.
"""
