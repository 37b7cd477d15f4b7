# Installs Wisp for the current user and replaces any installed version:
#   powershell -ExecutionPolicy Bypass -File install.ps1
$ErrorActionPreference = "Stop"
$common = Join-Path $env:LOCALAPPDATA "Programs\Common"
$programs = Join-Path $env:LOCALAPPDATA "Programs\Wisp"

function Put($name, $folder) {
    $source = Join-Path $PSScriptRoot $name
    if (-not (Test-Path -LiteralPath $source)) { return }
    New-Item -ItemType Directory -Force -Path $folder | Out-Null
    $target = Join-Path $folder $name
    $new = Join-Path $folder ".$name.new"
    $old = Join-Path $folder ".$name.old"
    # An earlier run was killed between its two moves.
    if ((Test-Path -LiteralPath $old) -and -not (Test-Path -LiteralPath $target)) { Move-Item -LiteralPath $old -Destination $target }
    foreach ($left in $new, $old) {
        if (Test-Path -LiteralPath $left) { Remove-Item -LiteralPath $left -Recurse -Force }
    }
    # Copies to a temporary name first, so that a host scanning meanwhile never finds a partial copy. If anything fails, the old
    # version stays or is put back.
    try {
        Copy-Item -LiteralPath $source -Destination $new -Recurse
        if (Test-Path -LiteralPath $target) { Move-Item -LiteralPath $target -Destination $old }
        Move-Item -LiteralPath $new -Destination $target
    }
    catch {
        if ((Test-Path -LiteralPath $old) -and -not (Test-Path -LiteralPath $target)) { Move-Item -LiteralPath $old -Destination $target }
        if (Test-Path -LiteralPath $new) { Remove-Item -LiteralPath $new -Recurse -Force }
        throw
    }
    # A host may still have the old version open; the next installation removes it.
    if (Test-Path -LiteralPath $old) { Remove-Item -LiteralPath $old -Recurse -Force -ErrorAction SilentlyContinue }
    Write-Output "installed $target"
}

Put "wisp.vst3" (Join-Path $common "VST3")
Put "wisp.clap" (Join-Path $common "CLAP")
Put "wisp.exe" $programs
Put "wisp-standalone.exe" $programs

# Where VST3 hosts look.
$presets = Join-Path ([Environment]::GetFolderPath("MyDocuments")) "VST3 Presets\Wisp\Wisp"
New-Item -ItemType Directory -Force -Path $presets | Out-Null
Copy-Item -Path (Join-Path $PSScriptRoot "presets\*.vstpreset") -Destination $presets -Force
Write-Output "installed presets in $presets"
