// SPDX-License-Identifier: GPL-3.0-or-later
// A job type for Flamenco 3.3 or later: a preview movie beside each performance of a batch.
// Copy it into the folder "scripts" beside the flamenco-manager executable, and restart the Manager.
// The workers' Blender needs the Facescript extension, enabled; a language model it does not need.

const JOB_TYPE = {
    label: "Facescript Previews",
    settings: [
        { key: "folder", type: "string", subtype: "dir_path", required: true,
          description: "The batch's folder, on a disk that all workers see" },
        { key: "lines", type: "string", required: true,
          description: "The lines' files in that folder, one a line, without an ending" },
        { key: "chunk_size", type: "int32", default: 10, propargs: { min: 1, max: 100 },
          description: "Lines that one task renders" },
        { key: "blend", type: "string", subtype: "file_path", required: false, default: "",
          description: "The .blend with the faces; if empty, the demo face" },
        { key: "face", type: "string", required: false, default: "",
          description: "The face of lines whose character has none of its own" },
        { key: "style", type: "string", required: false, default: "natural",
          description: "How the face moves from beat to beat" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    const lines = settings.lines.split("\n").filter((line) => line.length > 0);
    const size = Math.max(1, settings.chunk_size);
    for (let start = 0; start < lines.length; start += size) {
        const chunk = lines.slice(start, start + size);
        const task = author.Task(`preview-${start + 1}-${start + chunk.length}`, "blender");
        for (const line of chunk) {
            task.addCommand(author.Command("exec", { exe: "{blender}", args: previewArguments(settings, line) }));
        }
        job.addTask(task);
    }
}

function previewArguments(settings, line) {
    const path = `${settings.folder}/${line}`;
    const args = ["--command", "facescript", "render", "preview", `${path}.jsonl`, `${path}.mp4`];
    if (settings.style) args.push("--style", settings.style);
    if (settings.blend) args.push("--on", settings.blend);
    if (settings.blend && settings.face) args.push("--face", settings.face);
    return args;
}
