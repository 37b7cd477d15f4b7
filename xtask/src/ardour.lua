-- Makes a session with Wisp on a track, or opens it again; prints the plugin's parameters.
local folder, name = os.getenv("WISP_FOLDER"), os.getenv("WISP_SESSION")
AudioEngine:set_backend("None (Dummy)", "", "")

-- Calls f with the label and the number of each setting: Ardour numbers those alone, not an LV2's other ports.
local function each_setting(plugin, f)
  local number = 0
  for port = 0, plugin:parameter_count() - 1 do
    if plugin:parameter_is_control(port) and plugin:parameter_is_input(port) then
      f(plugin:parameter_label(port), number)
      number = number + 1
    end
  end
end

local function print_parameters(processor)
  each_setting(processor:to_insert():plugin(0), function(label, number)
    local value = ARDOUR.LuaAPI.get_processor_param(processor, number, true)
    print(string.format("parameter %s=%.2f", label, value))
  end)
end

if os.getenv("WISP_TASK") == "make" then
  assert(create_session(folder, name, 48000), "no session")
  local track
  local tracks = Session:new_audio_track(1, 2, nil, 1, "voice", ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)
  for route in tracks:iter() do track = route end
  local format = ARDOUR.PluginType[os.getenv("WISP_FORMAT")]
  local processor = ARDOUR.LuaAPI.new_plugin(Session, os.getenv("WISP_PLUGIN"), format, "")
  assert(not processor:isnil(), "Ardour does not know Wisp")
  assert(track:add_processor_by_index(processor, 0, nil, true) == 0, "Wisp cannot be added")
  local plugin = processor:to_insert():plugin(0)
  for label, value in string.gmatch(os.getenv("WISP_PARAMETERS"), "([^=;]+)=([^;]+)") do
    each_setting(plugin, function(found, number)
      if found == label then
        assert(ARDOUR.LuaAPI.set_processor_param(processor, number, tonumber(value)), label)
      end
    end)
  end
  -- Changes reach a plugin with the next blocks of sound, and another quality waits for a restart.
  ARDOUR.LuaAPI.usleep(4000000)
  print(string.format("latency %d", processor:to_insert():signal_latency()))
  print_parameters(processor)
  Session:save_state("")
else
  assert(load_session(folder, name), "no session")
  local track = Session:route_by_name("voice")
  assert(not track:isnil(), "no track")
  ARDOUR.LuaAPI.usleep(1000000)
  print(string.format("latency %d", track:nth_plugin(0):to_insert():signal_latency()))
  print_parameters(track:nth_plugin(0))
end
close_session()
