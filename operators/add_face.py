# SPDX-License-Identifier: GPL-3.0-or-later
"""Add > Mesh > ARKit Face: puts the demo face and its two-bone rig into the scene."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .. import demo_face
from ..rig_mapping import blender_api
from .language import tip_

FACE_NAME = "ARKit Face"
COLOURS = "Tint"  # name of the vertex colour attribute
_NECK_PIVOT = (0.0, 0.004, 0.0)  # metres: the bones run up inside the neck
_HEAD_PIVOT = (0.0, -0.006, 0.085)
_HEAD_TOP = (0.0, -0.006, 0.30)


def _material(look: demo_face.Material) -> bpy.types.Material:
    """A Principled material; its solid-view colour is set as well."""
    material = blender_api.new_material(f"{FACE_NAME} {look.name}")
    colour = (*look.colour, 1.0)
    material.diffuse_color = colour
    material.roughness = look.roughness
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    sockets = shader.inputs
    sockets["Base Color"].default_value = colour
    sockets["Roughness"].default_value = look.roughness
    sockets["Subsurface Weight"].default_value = look.subsurface
    sockets["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
    sockets["Subsurface Scale"].default_value = 0.01
    sockets["Coat Weight"].default_value = look.coat
    sockets["Coat Roughness"].default_value = 0.05
    sockets["Sheen Weight"].default_value = look.sheen
    if look.emission:
        sockets["Emission Color"].default_value = colour
        sockets["Emission Strength"].default_value = look.emission
    if look.tinted:
        tint = tree.nodes.new("ShaderNodeVertexColor")
        tint.layer_name = COLOURS
        tint.location = (shader.location.x - 220.0, shader.location.y)
        tree.links.new(tint.outputs["Color"], sockets["Base Color"])
    return material


def _mesh(face: demo_face.FaceMesh) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(FACE_NAME)
    sizes = np.array([len(corners) for corners in face.faces], dtype=np.int32)
    corners = np.concatenate([np.array(corners, dtype=np.int32) for corners in face.faces])
    mesh.vertices.add(len(face.vertices))
    mesh.vertices.foreach_set("co", face.vertices.astype(np.float32).ravel())
    mesh.loops.add(len(corners))
    mesh.loops.foreach_set("vertex_index", corners)
    mesh.polygons.add(len(sizes))
    mesh.polygons.foreach_set("loop_start", (np.cumsum(sizes) - sizes).astype(np.int32))
    mesh.polygons.foreach_set("material_index", face.face_material.astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", face.smooth)
    mesh.update(calc_edges=True)
    tint: Any = mesh.color_attributes.new(COLOURS, "FLOAT_COLOR", "POINT")
    tint.data.foreach_set("color", face.colours.astype(np.float32).ravel())
    mesh.attributes.active_color_name = COLOURS  # what the viewport's attribute shading shows
    for look in face.materials:
        mesh.materials.append(_material(look))
    return mesh


def _rig(context: bpy.types.Context, collection: bpy.types.Collection) -> bpy.types.Object:
    armature = bpy.data.armatures.new(f"{FACE_NAME} Rig")
    rig = bpy.data.objects.new(f"{FACE_NAME} Rig", armature)
    collection.objects.link(rig)
    context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    neck = armature.edit_bones.new("neck")
    neck.head, neck.tail = _NECK_PIVOT, _HEAD_PIVOT
    head = armature.edit_bones.new("head")
    head.head, head.tail = _HEAD_PIVOT, _HEAD_TOP
    head.parent, head.use_connect = neck, True
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.show_in_front = False
    armature.display_type = "STICK"
    return rig


def create_face(context: bpy.types.Context) -> bpy.types.Object:
    """Adds a face with its rig at the 3D cursor and returns the mesh object, active and selected.

    Object mode only. Each call makes its own mesh, shape keys, materials, armature.
    """
    face = demo_face.build()
    collection = context.collection or context.scene.collection
    for other in context.selected_objects:
        other.select_set(False)
    rig = _rig(context, collection)
    body = bpy.data.objects.new(FACE_NAME, _mesh(face))
    collection.objects.link(body)

    body.shape_key_add(name="Basis", from_mix=False)
    for name, offset in face.shapes.items():
        key = body.shape_key_add(name=name, from_mix=False)
        key.data.foreach_set("co", (face.vertices + offset).astype(np.float32).ravel())
        key.slider_min, key.slider_max, key.value = 0.0, 1.0, 0.0
    for bone, weights in face.groups.items():
        group = body.vertex_groups.new(name=bone)
        for value in np.unique(np.round(weights, 3)):
            if value > 0.0:
                group.add(np.flatnonzero(np.round(weights, 3) == value).tolist(), float(value), "REPLACE")
    modifier: Any = body.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    body.parent = rig
    rig.location = context.scene.cursor.location
    rig.select_set(False)
    body.select_set(True)
    context.view_layer.objects.active = body
    return body


class FACESCRIPT_OT_add_face(bpy.types.Operator):
    """Add a stylised head with the 52 ARKit shape keys and neck and head bones, ready for Facescript"""

    bl_idname = "facescript.add_face"
    bl_label = "ARKit Face"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only in object mode: adding the rig needs it."""
        if context.mode != "OBJECT":
            cls.poll_message_set(tip_("Switch to Object Mode to add a face"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        create_face(context)
        return {"FINISHED"}


def _menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(FACESCRIPT_OT_add_face.bl_idname, icon="USER")


def register() -> None:
    """Registers the operator and its entry in the Add > Mesh menu."""
    bpy.utils.register_class(FACESCRIPT_OT_add_face)
    bpy.types.VIEW3D_MT_mesh_add.append(_menu)


def unregister() -> None:
    """Takes back what `register` did."""
    bpy.types.VIEW3D_MT_mesh_add.remove(_menu)
    bpy.utils.unregister_class(FACESCRIPT_OT_add_face)
